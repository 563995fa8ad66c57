"""What any part may use and no user sees."""
