# Fixed points and overlays.
{ lib }:
let
  # Overlay f, then overlay g on what f made of prev; as one overlay.
  composeExtensions =
    f: g: final: prev:
    let
      first = f final prev;
    in
    first // g final (prev // first);
in
rec {
  inherit composeExtensions;

  fix =
    f:
    let
      self = f self;
    in
    self;

  # As `fix`, and the result remembers the function it is the fixed point of.
  fix' =
    f:
    let
      self = f self // {
        __unfix__ = f;
      };
    in
    self;

  # Apply f until nothing changes.
  converge =
    f: x:
    let
      next = f x;
    in
    if next == x then x else converge f next;

  extends =
    overlay: f: final:
    let
      prev = f final;
    in
    prev // overlay final prev;

  composeManyExtensions = lib.lists.foldr composeExtensions (_final: _prev: { });

  makeExtensible = makeExtensibleWithCustomName "extend";

  makeExtensibleWithCustomName =
    name: f:
    fix' (
      self:
      f self
      // {
        ${name} = overlay: makeExtensibleWithCustomName name (extends overlay f);
      }
    );

  # An overlay from `final: prev: { }`, `prev: { }` or `{ }`.
  toExtension =
    f:
    if !lib.isFunction f then
      _final: _prev: f
    else
      final: prev:
      let
        once = f prev;
      in
      if lib.isFunction once then f final prev else once;
}
