"""What is remembered: nouns, a database, and one module of functions per noun."""
