"""Whom detections show: which follow each other as one person, and who that is."""
