/* SPDX-License-Identifier: MIT */
/*
 * The batteries' passwords, from a file. They are nowhere else: not on the command line, which
 * every user of the machine can read, and in no message.
 *
 *     # a comment
 *     123456                      for every battery that has no line of its own
 *     A4:C1:38:01:02:03 654321    for this one
 */
#ifndef BMS_PASSWORDS_H
#define BMS_PASSWORDS_H

#include <glib.h>

typedef struct Passwords Passwords;

/**
 * Reads the file, without ever waiting for it. Logs a warning if everybody can read it.
 * @param path NULL for the credential "password" that systemd hands over, if there is one
 * @return NULL and @a error if it cannot be read or is not as described; an empty set where @a path
 * is NULL and there is no credential
 */
Passwords *passwords_read(const char *path, GError **error);

/** Wipes them from memory, too. */
void passwords_free(Passwords *passwords);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Passwords, passwords_free)

/** The password of a battery, JBD_PASSWORD_SIZE bytes and a NUL, valid while the set is; or NULL.
 */
const char *passwords_find(const Passwords *passwords, const char *address);

#endif
