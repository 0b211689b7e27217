"""The app of that release."""
