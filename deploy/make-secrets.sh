#!/bin/sh
# Makes the secrets that docker-compose.yml names, in a directory that only its owner enters, where they do not exist yet. Never
# overwrites one.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
make() {
  if [ -e "secrets/$1" ]; then echo "secrets/$1 exists already" >&2; return; fi
  cat >"secrets/$1.new" && mv "secrets/$1.new" "secrets/$1" && echo "made deploy/secrets/$1" >&2
}

if [ ! -e secrets/fairlead.env ] && [ ! -e secrets/fairlead-database.env ]; then
  password=$(random)
  echo "POSTGRES_PASSWORD=$password" | make fairlead-database.env
  echo "FAIRLEAD_DATABASE_URL=postgres://fairlead:$password@fairlead-database:5432/fairlead" | make fairlead.env
fi
if [ ! -e secrets/temporal.env ] && [ ! -e secrets/temporal-database.env ]; then
  password=$(random)
  echo "POSTGRES_PASSWORD=$password" | make temporal-database.env
  echo "POSTGRES_PWD=$password" | make temporal.env
fi
# The key has a checksum of its own, which only Fairlead makes.
if [ ! -e secrets/admin.key ]; then
  key=$(../bin/fairlead keys text --role admin)
  echo "$key" | make admin.key
fi
mkdir -p secrets/gateway
if [ ! -e secrets/gateway/seal.keys ]; then echo "k1 $(head -c 32 /dev/urandom | base64)" | make gateway/seal.keys; fi
chmod 0755 secrets/gateway
chmod 0644 secrets/gateway/seal.keys
# The container reads it as its own user; on this machine the directory keeps everybody else out.
chmod 0644 secrets/admin.key
