"""Views: how commands show results on the terminal."""
