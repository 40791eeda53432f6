#!/usr/bin/env bash
# A RabbitMQ or a Postgres in a Docker container, on a free port of 127.0.0.1, of the image that docker-compose.yml names.
#
#   docker.sh start rabbitmq|postgres FOLDER   prints its address once it answers
#   docker.sh stop  rabbitmq|postgres FOLDER   removes the container that start made for this folder
set -euo pipefail

verb=$1 service=$2 folder=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
# The name comes from the folder, so that stop finds a container whose start was interrupted.
name=$(basename "$(dirname "$folder")")-$service

if [ "$verb" = stop ]; then
	if [ -e "$folder/docker" ]; then
		docker rm --force --volumes "$name" >/dev/null 2>&1 || true # it may never have come to be
		rm "$folder/docker"
	fi
	exit
fi

docker info >/dev/null 2>&1 || exit 1
image=$(sed -n "s/^ *image: *\($service:[^ ]*\).*/\1/p" "$root/docker-compose.yml")
case $service in
rabbitmq) port=5672 login=guest:guest scheme=amqp path=/ ;;
postgres) port=5432 login=postgres scheme=postgres path=/postgres ;;
esac

echo "with-services: starting $image in Docker" >&2
touch "$folder/docker"
if ! docker run --detach --name "$name" --publish "127.0.0.1::$port" --env POSTGRES_HOST_AUTH_METHOD=trust \
	"$image" >/dev/null 2>"$folder/docker.log"; then
	echo "with-services: no $service in Docker: $(grep -m 1 '^docker:' "$folder/docker.log")" >&2
	exit 1
fi
published=$(docker port "$name" "$port/tcp" | head -n 1)
url=$scheme://$login@$published$path
if ! "$MAGELINE_SERVICECHECK" -wait 90s "$url"; then
	docker logs --tail 20 "$name" >&2
	exit 1
fi
echo "$url"
