# The front: Caddy as it is, able to run as an ordinary user without capabilities; docker-compose.yml mounts
# its Caddyfile. Built from deploy/: docker build --file deploy/front.Dockerfile deploy
FROM caddy:2.10.2-alpine
# The capability to bind low ports, which the file carries, keeps it from starting where none is allowed.
RUN setcap -r /usr/bin/caddy && mkdir -p /data /config && chown 10002:10002 /data /config
USER 10002:10002
