#!/bin/sh
# Makes the secrets that docker-compose.yml names, in a directory that only its owner enters, where they do not exist yet. Never
# overwrites one. FAIRLEAD_PUBLIC_NAME is the name that people and hosts know the controller by (localhost, if not given).
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets secrets/gateway secrets/tls

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
make() {
  if [ -e "secrets/$1" ]; then echo "secrets/$1 exists already" >&2; return; fi
  cat >"secrets/$1.new" && mv "secrets/$1.new" "secrets/$1" && echo "made deploy/secrets/$1" >&2
}
# A key and a certificate that vouches for itself, for ten years: DIRECTORY NAME
certify() {
  if [ -e "secrets/$1/tls.crt" ] || [ -e "secrets/$1/tls.key" ]; then echo "secrets/$1/tls.crt exists already" >&2; return; fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$2" -addext "subjectAltName=DNS:$2" -keyout "secrets/$1/tls.key" -out "secrets/$1/tls.crt.new" 2>/dev/null
  mv "secrets/$1/tls.crt.new" "secrets/$1/tls.crt" && echo "made deploy/secrets/$1/tls.crt and tls.key" >&2
}

if [ ! -e secrets/fairlead.env ] && [ ! -e secrets/fairlead-database.password ]; then
  password=$(random)
  echo "$password" | make fairlead-database.password
  echo "FAIRLEAD_DATABASE_URL=postgres://fairlead:$password@fairlead-database:5432/fairlead" | make fairlead.env
fi
if [ ! -e secrets/temporal-database.password ]; then random | make temporal-database.password; fi
# The key has a checksum of its own, which only Fairlead makes.
if [ ! -e secrets/admin.key ]; then
  key=$(../bin/fairlead keys text --role admin)
  echo "$key" | make admin.key
fi
if [ ! -e secrets/gateway/seal.keys ]; then echo "k1 $(head -c 32 /dev/urandom | base64)" | make gateway/seal.keys; fi
if [ ! -e secrets/settings.keys ]; then echo "k1 $(head -c 32 /dev/urandom | base64)" | make settings.keys; fi
# The public half is for whoever verifies the audit: keep it, and copies of checkpoints, elsewhere.
if [ ! -e secrets/audit.key ]; then
  openssl genpkey -algorithm ed25519 2>/dev/null | make audit.key
  openssl pkey -in secrets/audit.key -pubout | make audit.pub
fi
# Between nginx and the gateway, which both have this one. What the world sees is tls/tls.crt.
certify gateway fairlead-api
if [ ! -e secrets/tls/tls.crt ]; then
  certify tls "${FAIRLEAD_PUBLIC_NAME:-localhost}"
  echo "deploy/secrets/tls/tls.crt vouches for itself: hosts and people trust it only where they are given it. Lay a real one over it, and its key beside it." >&2
fi
# Containers read them as users of their own; on this machine the directory keeps everybody else out.
chmod 0755 secrets/gateway secrets/tls
chmod 0644 secrets/*.env secrets/*.password secrets/admin.key secrets/settings.keys secrets/audit.key secrets/audit.pub secrets/gateway/* secrets/tls/*
