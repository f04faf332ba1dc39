"""The least that Django needs."""

SECRET_KEY = "an example has no secrets"
INSTALLED_APPS = ["collector"]
USE_TZ = True
DATABASES: dict[str, dict[str, str]] = {}
