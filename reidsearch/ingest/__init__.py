"""From footage to stored rows."""
