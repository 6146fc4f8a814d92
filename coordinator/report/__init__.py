"""What is printed: the recovery kit, and the audit as a page."""
