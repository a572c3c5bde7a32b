"""The manifest of a build, for people: terminal and HTML page."""
