#!/bin/sh
# Makes the secrets of a deployment with Compose: a file each, below secrets/ (or the folder that is named).
# What is there stays, so that it may be run again: after an upgrade it makes what is new. Fails with what is
# missing on this machine, or with what is still to be written by hand. Called by people:
#     sh deploy/secrets.sh
# To change a secret, remove its file, run this again, and `docker compose up --detach --force-recreate`; for
# postgres_app_password also docs/operations.md, "Secrets of Compose".
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../secrets}

# The folder lets nobody in but its owner. The files in it are readable for all: Compose mounts them as they
# are, and the users of the containers are not ours.
mkdir -p "$folder/remotes" "$folder/hooks" "$folder/notify"
chmod 700 "$folder"
chmod 755 "$folder/remotes" "$folder/hooks" "$folder/notify"

random() {
    od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n'
}

digest() {
    printf %s "$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1
}

# keep NAME TEXT: writes it whole, if there is none yet.
keep() {
    if [ ! -s "$folder/$1" ]; then
        printf '%s\n' "$2" >"$folder/.$1.new"
        chmod 444 "$folder/.$1.new"
        mv -f "$folder/.$1.new" "$folder/$1"
    fi
}

# The password in an address that was kept.
password() {
    sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' "$folder/$1"
}

keep redis_admin "$(random)"
users="s/{admin}/#$(digest "$(cat "$folder/redis_admin")")/"
for role in create updates fetch beat gateway flower; do
    keep "redis_$role" "redis://$role:$(random)@redis:6379/0"
    users="$users;s/{$role}/#$(digest "$(password "redis_$role")")/"
done
# Written anew each time: what a user may do comes with the release.
sed -e '/^#/d' -e "$users" "$here/redis/users.acl" >"$folder/.users.acl.new"
chmod 444 "$folder/.users.acl.new"
mv -f "$folder/.users.acl.new" "$folder/users.acl"

keep postgres_password "$(random)"
keep postgres_app_password "$(random)"
keep database_owner "postgresql://orderbridge:$(cat "$folder/postgres_password")@postgres:5432/orderbridge"
keep database_app "postgresql://orderbridge_app:$(cat "$folder/postgres_app_password")@postgres:5432/orderbridge"

keep secret_key "$(random)"
keep api_keys "first:$(random)"
keep hook_secrets "$(random)"
keep flower_basic_auth "orderbridge:$(random)"
keep flower_cookie_secret "$(random)"

echo "The secrets are in $folder. Write those of the shop and the CRM to files in $folder/remotes,"
echo "and who is told to files in $folder/notify."
