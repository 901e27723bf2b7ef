"""What a user does with a database."""
