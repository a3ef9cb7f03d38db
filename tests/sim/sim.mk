# SPDX-License-Identifier: MIT
# The simulated battery and the stand-in for bluetoothd: what build/bms-sim is made of.
SIM_SOURCES := \
	tests/sim/main.c \
	tests/sim/board.c \
	tests/sim/board_model.c \
	tests/sim/faults.c \
	tests/sim/standin_bus.c \
	tests/sim/standin_tree.c \
	tests/sim/standin_list.c \
	tests/sim/standin_script.c \
	tests/sim/standin_adapter.c \
	tests/sim/standin_power.c \
	tests/sim/standin_device.c \
	tests/sim/standin_link.c \
	tests/sim/standin_gatt.c \
	tests/sim/standin_pair.c \
	tests/sim/standin_notify.c \
	tests/sim/standin_acquire.c \
	tests/sim/control.c \
	tests/sim/control_commands.c \
	tests/sim/control_adapter.c \
	tests/sim/control_set.c \
	tests/sim/control_rival.c \
	tests/sim/control_status.c \
	tests/sim/send.c
