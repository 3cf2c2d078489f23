/* libFuzzer: any ALSA configuration handed to the PCM and the control device. */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

int _snd_pcm_aes67_open(snd_pcm_t **pcmp, const char *name, snd_config_t *root, snd_config_t *conf,
			snd_pcm_stream_t stream, int mode);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void say_nothing(const char *file, int line, const char *function, int err,
			const char *format, ...)
{
	(void)file, (void)line, (void)function, (void)err, (void)format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	snd_config_t *top;
	snd_input_t *input;
	snd_pcm_t *pcm;

	if (size == 0)
		return 0;
	snd_lib_error_set_handler(say_nothing);
	if (snd_config_top(&top) < 0 ||
	    snd_input_buffer_open(&input, (const char *)data, (ssize_t)size) < 0)
		abort();
	if (snd_config_load(top, input) >= 0 &&
	    _snd_pcm_aes67_open(&pcm, "fuzz", NULL, top, data[0] & 1, 0) >= 0)
		snd_pcm_close(pcm);
	snd_input_close(input);
	snd_config_delete(top);
	return 0;
}
