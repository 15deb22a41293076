/* kind: leak
 * culprit: codec_open
 * plugin: yes
 * A plugin is loaded for each file and unloaded again; it forgets its context. */
#include "../corpus.h"
#ifdef PLUGIN
int codec_decode(const char *text);

static void *codec_open(size_t bytes) {
  return corpus_use(malloc(bytes), bytes);
}
int codec_decode(const char *text) {
  unsigned char *context = codec_open(640);
  char *copy = strdup(text);
  int n = context[0] + copy[0];
  free(copy);
  return n;
}
#else
#include <dlfcn.h>
static int decode_file(const char *plugin, const char *text) {
  void *handle = dlopen(plugin, RTLD_NOW);
  if (!handle) return -1;
  int (*decode)(const char *) = (int (*)(const char *))dlsym(handle, "codec_decode");
  int n = 0;
  for (int i = 0; i < 40; i++)
    n += decode(text);
  dlclose(handle);
  return n;
}
int main(int argc, char **argv) {
  char plugin[4096];
  (void)argc;
  snprintf(plugin, sizeof plugin, "%s.so", argv[0]);
  EACH_STEP(i)
    if (i % 20 == 0 && decode_file(plugin, "text") < 0) return 1;
}
#endif
