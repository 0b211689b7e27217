"""Finding instances: the language of the dashboard's query box, the filter it stands for, and the marks of a row."""
