"""django-q2 lives here and nowhere else: the broker that is the task hub, the drain task, the supervised cluster."""
