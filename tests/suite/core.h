/* core.h - the library that the tests of this small project test. */
#ifndef CORE_H
#define CORE_H
char *render(const char *text);
struct list *list_push(struct list *, const char *text);
void list_free(struct list *);
void third_init(void);
#endif
