// The four things that the load generator does; each connects, warms up, measures, and reports.
#pragma once

#include "options.h"

void run_echo(const struct options *options);
void run_fanout(const struct options *options);
void run_churn(const struct options *options);
void run_idle(const struct options *options);
