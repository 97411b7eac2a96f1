#!/bin/sh
# Makes the role of everything but the migrations: it reads and writes rows and changes no table. Run by the
# image of PostgreSQL when the database is new, and by hand for one that was there before
# (docs/operations.md, "Secrets of Compose"). It may be run again.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --file "${ROLES_SQL:-/roles.sql}"
