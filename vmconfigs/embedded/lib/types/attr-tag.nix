# attrTag: a set of exactly one of the given members.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    head
    intersectAttrs
    isAttrs
    length
    mapAttrs
    unsafeGetAttrPos
    ;
  inherit (lib.options) getFiles showFiles showOption;
  inherit (lib.strings) concatMapStringsSep escapeNixIdentifier escapeNixString;
  inherit (lib.types) defaultFunctor memberDefinitions mkOptionType;

  at = pos: if pos == null then "" else " at ${pos.file}:${toString pos.line}:${toString pos.column}";
  # Joins two declarations of one tag.
  joined =
    name: a: b:
    let
      declaration = options: {
        inherit options;
        _file = "<attrTag {...}>";
        pos = null;
      };
    in
    lib.modules.mergeOptionDecls [ name ] [
      (declaration a)
      (declaration b)
    ]
    // {
      declarations = a.declarations ++ b.declarations;
      declarationPositions = a.declarationPositions ++ b.declarationPositions;
    };
in
{
  attrTag =
    given:
    let
      tags = mapAttrs (
        name: option:
        let
          pos = unsafeGetAttrPos name given;
          shown = escapeNixIdentifier name;
        in
        addErrorContext "while checking that attrTag tag ${shown} is an option with a type${at pos}" (
          if option._type or null == "option" then
            option
            // {
              declarations = option.declarations or (if pos == null then [ ] else [ pos.file ]);
              declarationPositions = option.declarationPositions or (if pos == null then [ ] else [ pos ]);
            }
          else
            throw "In attrTag, each tag value must be an option, but tag ${shown} ${
              if !(option ? _type) then
                "was not."
              else if option._type == "option-type" then
                "was a bare type, not wrapped in mkOption."
              else
                "was of type ${escapeNixString option._type}."
            }"
        )
      ) given;
      choices = concatMapStringsSep ", " escapeNixIdentifier (attrNames tags);
      tagOf = value: head (attrNames value);
    in
    mkOptionType {
      name = "attrTag";
      description = "attribute-tagged union with choices: ${choices}";
      descriptionClass = "noun";
      getSubOptions = prefix: mapAttrs (name: option: option // { loc = prefix ++ [ name ]; }) tags;
      check = v: isAttrs v && length (attrNames v) == 1 && tags ? ${tagOf v};
      merge =
        loc: defs:
        let
          choice = tagOf (head defs).value;
          shown = escapeNixIdentifier choice;
          inner = map (
            def:
            assert length (attrNames def.value) == 1;
            if tagOf def.value == choice then
              (memberDefinitions def).${choice}
            else
              throw "The option `${showOption loc}` is defined both as `${choice}` and `${tagOf def.value}`, in ${showFiles (getFiles defs)}."
          ) defs;
        in
        if tags ? ${choice} then
          {
            ${choice} = (lib.modules.evalOptionValue (loc ++ [ choice ]) tags.${choice} inner).value;
          }
        else
          throw "The option `${showOption loc}` is defined as ${shown}, but ${shown} is not among the valid choices (${choices}). Value ${choice} was defined in ${showFiles (getFiles defs)}.";
      nestedTypes = tags;
      functor = defaultFunctor "attrTag" // {
        type = { tags, ... }: lib.types.attrTag tags;
        payload = { inherit tags; };
        binOp = a: b: {
          tags =
            a.tags // b.tags // mapAttrs (name: joined name a.tags.${name}) (intersectAttrs a.tags b.tags);
        };
      };
    };
}
