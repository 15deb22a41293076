// shop.c - what scripts/quickstart records: a small shop's server, with three mistakes.
//
//   leaks   reload_prices() drops the old price list, and with it every price in it
//   grows   open_session(): sessions never expire
//   wastes  import_catalogue() keeps one record in fifty, which pins the memory of the rest;
//           keep_product() asks for a little more than a size class holds
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct price {
  struct price *next;
  int product, cents;
};
struct price_list {
  struct price *first;
  char currency[24];
};
struct session {
  struct session *next;
  int customer;
  char basket[200];
};
struct product {
  struct product *next;
  char description[260];
};
struct record {
  int sold_out;
  char line[100];
};

static struct price_list *prices;
static struct session *sessions;
static struct product *products;
static struct record *offers[4000];

static void add_price(struct price_list *list, int product, int cents) {
  struct price *p = calloc(1, sizeof *p);
  p->product = product;
  p->cents = cents;
  p->next = list->first;
  list->first = p;
}

static void reload_prices(void) {
  struct price_list *list = calloc(1, sizeof *list);
  strcpy(list->currency, "EUR");
  for (int i = 0; i < 20; i++)
    add_price(list, i, 100 + rand() % 900);
  prices = list; // and the old one?
}

static void open_session(int customer) {
  struct session *s = calloc(1, sizeof *s);
  s->customer = customer;
  s->next = sessions;
  sessions = s; // until when?
}

static void keep_product(int n) {
  struct product *p = calloc(1, sizeof *p);
  snprintf(p->description, sizeof p->description, "product %d", n);
  p->next = products;
  products = p;
}

static struct record *read_record(int n) {
  struct record *r = calloc(1, sizeof *r);
  r->sold_out = n % 50 != 0;
  snprintf(r->line, sizeof r->line, "%d;in stock;%s", n, r->sold_out ? "no" : "yes");
  return r;
}

static void import_catalogue(void) {
  enum { records = 20000 };
  struct record **all = calloc(records, sizeof *all);
  for (int i = 0; i < records; i++)
    all[i] = read_record(i);
  for (int i = 0, kept = 0; i < records; i++) {
    if (all[i]->sold_out) free(all[i]);
    else offers[kept++] = all[i];
  }
  free(all);
}

static void serve(int customer) {
  open_session(customer);
  if (customer % 10 == 0) reload_prices();
}

int main(void) {
  import_catalogue();
  for (int i = 0; i < 2000; i++)
    keep_product(i);
  for (int customer = 0; customer < 6000; customer++) {
    serve(customer);
    if (customer % 40 == 0) usleep(10000);
  }
  printf("6000 customers, prices in %s\n", prices->currency);
  return 0;
}
