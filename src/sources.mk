# SPDX-License-Identifier: MIT
# Every source file of the program but main.c; no wildcard, so that a stray file is not built in.

LIB_SOURCES := \
    src/battery/battery.c \
    src/battery/outage.c \
    src/bluez/address.c \
    src/bluez/agent.c \
    src/bluez/bus.c \
    src/bluez/connect.c \
    src/bluez/errors.c \
    src/bluez/gatt.c \
    src/bluez/link.c \
    src/bluez/objects.c \
    src/bluez/pair.c \
    src/bluez/power.c \
    src/bluez/radio.c \
    src/export/escape.c \
    src/export/legacy.c \
    src/export/negotiate.c \
    src/export/number.c \
    src/export/page.c \
    src/export/page_style.c \
    src/export/process.c \
    src/export/readings.c \
    src/export/render.c \
    src/export/status.c \
    src/jbd/decode.c \
    src/jbd/foreign.c \
    src/jbd/frame.c \
    src/jbd/names.c \
    src/jbd/password.c \
    src/jbd/request.c \
    src/link/link.c \
    src/main/app.c \
    src/main/options.c \
    src/main/passwords.c \
    src/main/rungs.c \
    src/main/unit.c \
    src/main/version.c \
    src/poller/poller.c \
    src/poller/round.c \
    src/poller/unlock.c \
    src/recovery/recovery.c \
    src/system/activation.c \
    src/system/clock.c \
    src/system/command.c \
    src/system/log.c \
    src/system/notify.c \
    src/terminal/output.c \
    src/terminal/screen.c \
    src/terminal/text.c \
    src/web/address.c \
    src/web/answer.c \
    src/web/connections.c \
    src/web/source.c \
    src/web/web.c
