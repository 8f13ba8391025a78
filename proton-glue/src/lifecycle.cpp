// SPDX-License-Identifier: MIT
#include "lifecycle.hpp"

namespace lws_proton {

namespace {

using S = State;

constexpr uint8_t serve = act_serve, end_tx = act_end_tx, shut_down = act_close,
                  linger = act_linger, unlinger = act_unlinger, release = act_free;

// clang-format off
// Rows are states, columns are events. A cell that repeats its row's state with no action is an
// event that means nothing there: Proton 0.37 says some things twice (PROTON-2763) and in orders
// that depend on who was faster.
constexpr Transition kTable[kStates][kEvents] = {
    // connect               connected             peer_close                shutdown                 close_unsent                       close                    drained                 disconnected
    {{S::opening, 0},      {S::unconnected, 0},  {S::unconnected, 0},      {S::unconnected, 0},     {S::gone, release},                {S::gone, release},      {S::unconnected, 0},    {S::unconnected, 0}},          // unconnected
    {{S::opening, 0},      {S::open, serve},     {S::peer_closed, serve},  {S::opening, 0},         {S::closing, shut_down | linger},  {S::closed, shut_down},  {S::opening, 0},        {S::unreached, serve}},        // opening
    {{S::open, 0},         {S::open, 0},         {S::peer_closed, serve},  {S::shut, end_tx},       {S::closing, shut_down | linger},  {S::closed, shut_down},  {S::open, 0},           {S::lost, serve}},             // open
    {{S::peer_closed, 0},  {S::peer_closed, 0},  {S::peer_closed, 0},      {S::half_gone, end_tx},  {S::closing, shut_down | linger},  {S::closed, shut_down},  {S::peer_closed, 0},    {S::lost, serve}},             // peer_closed
    {{S::shut, 0},         {S::shut, 0},         {S::half_gone, serve},    {S::shut, 0},            {S::closing, shut_down | linger},  {S::closed, shut_down},  {S::shut, 0},           {S::lost, serve}},             // shut
    {{S::half_gone, 0},    {S::half_gone, 0},    {S::half_gone, 0},        {S::half_gone, 0},       {S::closing, shut_down | linger},  {S::closed, shut_down},  {S::half_gone, 0},      {S::lost, serve}},             // half_gone
    {{S::closing, 0},      {S::closing, 0},      {S::closing, 0},          {S::closing, 0},         {S::closing, 0},                   {S::closing, 0},         {S::closed, unlinger},  {S::gone, unlinger | release}},// closing
    {{S::closed, 0},       {S::closed, 0},       {S::closed, 0},           {S::closed, 0},          {S::closed, 0},                    {S::closed, 0},          {S::closed, 0},         {S::gone, release}},           // closed
    {{S::lost, 0},         {S::lost, 0},         {S::lost, 0},             {S::lost, 0},            {S::gone, release},                {S::gone, release},      {S::lost, 0},           {S::lost, 0}},                 // lost
    {{S::unreached, 0},    {S::unreached, 0},    {S::unreached, 0},        {S::unreached, 0},       {S::gone, release},                {S::gone, release},      {S::unreached, 0},      {S::unreached, 0}},            // unreached
    {{S::gone, 0},         {S::gone, 0},         {S::gone, 0},             {S::gone, 0},            {S::gone, 0},                      {S::gone, 0},            {S::gone, 0},           {S::gone, 0}},                 // gone
};
// clang-format on

constexpr const char *kNames[kStates] = {"unconnected", "opening",   "open",    "peer_closed",
                                         "shut",        "half_gone", "closing", "closed",
                                         "lost",        "unreached", "gone"};

}  // namespace

Transition transition(State state, Event event) noexcept {
    return kTable[static_cast<int>(state)][static_cast<int>(event)];
}

const char *name(State state) noexcept {
    return kNames[static_cast<int>(state)];
}

}  // namespace lws_proton
