"""A Django project with one pool, as issue #21 wants it: in the settings, without a connection until it is used."""
