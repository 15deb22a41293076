#include "core.h"

#include <stdlib.h>
#include <string.h>

char *render(const char *text) {
  return strcpy(malloc(strlen(text) + 1), text); /* MARK render */
}

struct list {
  struct list *next;
  char *text;
};

struct list *list_push(struct list *list, const char *text) {
  struct list *head = malloc(sizeof *head); /* MARK list_push */
  *head = (struct list){list, render(text)};
  return head;
}

void list_free(struct list *list) {
  while (list) {
    struct list *next = list->next;
    free(list->text);
    free(list);
    list = next;
  }
}
