# The front: Caddy as it is, able to run as an ordinary user without capabilities; docker-compose.yml mounts
# its Caddyfile. Built from deploy/: docker build --file deploy/front.Dockerfile deploy
FROM caddy:2.11.7-alpine@sha256:d8542f48d34a9cf4e4c11a478865229840e87e4c96ea3f439101f31a5d35f75f
# The capability to bind low ports, which the file carries, keeps it from starting where none is allowed.
RUN setcap -r /usr/bin/caddy && mkdir -p /data /config && chown 10002:10002 /data /config
USER 10002:10002
