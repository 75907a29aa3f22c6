// Two ways to use the store from a program: with plain calls, and with messages in an actor system of one's own.
#include <cstdio>

#include "actors/client.hpp"
#include "core/identity.hpp"

namespace {

// Plain calls: the client owns an actor system and waits for answers.
mutant::result<void> with_calls(const mutant::seed& owner) {
  mutant::client_options options;
  options.store.owner = owner;
  options.store.url = "memory:";
  auto client = mutant::client::open(options);
  if (!client)
    return mutant::fail(client.error());
  auto stored = client->put("greeting", mutant::bytes::copy_of("hello"));
  if (!stored)
    return mutant::fail(stored.error());
  // Compare-and-swap: only if nobody changed it since.
  mutant::put_settings settings;
  settings.if_version = stored->version;
  if (auto again = client->put("greeting", mutant::bytes::copy_of("hello again"), settings); !again)
    return mutant::fail(again.error());
  auto got = client->get("greeting");
  if (!got)
    return mutant::fail(got.error());
  std::printf("calls: %.*s\n", static_cast<int>(got->value.size()), reinterpret_cast<const char*>(got->value.data()));
  return {};
}

// Messages: the store is one more actor.
mutant::result<void> with_messages(caf::actor_system& system, const mutant::seed& owner) {
  mutant::store_config config;
  config.owner = owner;
  auto store = mutant::spawn_store(system, config);
  if (!store)
    return mutant::fail(store.error());
  system.spawn([store = *store](caf::event_based_actor* self) {
    mutant::put_request put;
    put.key = "greeting";
    put.source = mutant::bytes::copy_of("hello, actors");
    auto failed = [](caf::error& e) { std::printf("%s\n", to_string(mutant::from_caf(e)).c_str()); };
    self->request(store, std::chrono::seconds(10), mutant::put_atom_v, put)
        .then(
            [=](mutant::put_result&) {
              mutant::get_request get;
              get.key = "greeting";
              self->request(store, std::chrono::seconds(10), mutant::get_atom_v, get)
                  .then(
                      [=](mutant::get_result& got) {
                        std::printf("messages: %.*s\n", static_cast<int>(got.value.size()),
                                    reinterpret_cast<const char*>(got.value.data()));
                        self->send_exit(store, caf::exit_reason::user_shutdown);
                      },
                      failed);
            },
            failed);
  });
  system.await_all_actors_done();
  return {};
}

}  // namespace

int main() {
  if (auto ready = mutant::init_crypto(); !ready)
    return 1;
  const auto owner = mutant::generate_seed();  // a real program keeps it: core/identity.hpp
  mutant::system_config config;
  caf::actor_system system{config};
  for (auto outcome : {with_calls(owner), with_messages(system, owner)})
    if (!outcome) {
      std::fprintf(stderr, "%s\n", to_string(outcome.error()).c_str());
      return 1;
    }
  return 0;
}
