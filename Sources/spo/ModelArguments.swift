import CommandSyntax
import Diffusion
import Files

extension Arguments {
  /// The model that an option names, with the tokenizer and the VAE that go with it.
  ///
  /// - Throws: ``MissingModel``
  func modelFolder(_ option: String = "model") throws -> ModelFolder {
    let folder = ModelFolder(
      path: try required(option), tokenizer: optionalValue("tokenizer"), vae: optionalValue("vae"))
    guard PathKind(of: folder.path) != nil else {
      throw MissingModel(option: option, path: folder.path)
    }
    if let assumption = folder.assumption { Console.note("note: \(assumption)") }
    return folder
  }
}

/// There is no model where an option says.
struct MissingModel: ClassifiedError, CustomStringConvertible {
  let option: String
  let path: String

  var kind: FailureKind { .input }

  var description: String {
    let remedy =
      HubName.remedy(path)
      ?? "name a folder in diffusers' layout or a checkpoint file; relative paths start at the current "
      + "folder, and nothing is downloaded (docs/recipes.md says where models come from)"
    return "--\(option): \(path.isEmpty ? "\"\"" : path) is not there; \(remedy)"
  }
}
