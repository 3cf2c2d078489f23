/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
 *
 * Streams by name: which device channels a source or sink of the running daemon has.
 */
#ifndef AES67_NAMES_H
#define AES67_NAMES_H

#include <stdbool.h>

#include "params.h"

/* Put the channels of params->source (playback) or params->sink (capture) into params->first and
 * params->channels; without a name nothing happens. 0, -EINVAL or -ENOENT with a text that says
 * why. */
int names_resolve(struct params *params, bool is_capture);

#endif
