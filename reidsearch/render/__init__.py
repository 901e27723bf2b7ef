"""Tables, pictures and videos for people to look at."""
