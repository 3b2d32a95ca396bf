"""What can be set, where it comes from, how it is documented; logging. Imports nothing else of ours."""
