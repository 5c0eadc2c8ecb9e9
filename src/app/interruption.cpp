#include "app/interruption.h"

#include <csignal>

namespace covey::app {

std::atomic<bool> interrupted = false;

namespace {

std::atomic<load::Generator*> running_load = nullptr;

void interrupt(int) {
  interrupted = true;
  if (load::Generator* generator = running_load) generator->stop();
}

}  // namespace

void stop_on_signals() {
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
}

Stoppable::Stoppable(load::Generator& generator) {
  running_load = &generator;
  if (interrupted) generator.stop();
}

Stoppable::~Stoppable() {
  running_load = nullptr;
}

}  // namespace covey::app
