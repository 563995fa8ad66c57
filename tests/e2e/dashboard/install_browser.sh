#!/usr/bin/env bash
# Installs Chromium and its driver, in which the dashboard is tested, where apt and root are at hand.
set -euo pipefail
if command -v chromedriver >/dev/null; then
    exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "SKIPPED: no browser is installed, and there is no apt-get or no right to use it"
    exit
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium chromium-driver
