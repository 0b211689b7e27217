"""Telling people of questions that are put to them: when, whom, by which channel, and with which link."""
