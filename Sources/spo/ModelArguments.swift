import Checkpoints
import CommandSyntax
import Diffusion
import Files
import PipelineCore

/// The options that choose a model with its LoRA files.
enum ModelArguments {
  /// - Parameter lora: what `--lora` means
  static func options(lora: String) -> [CommandSyntax.Option] {
    [
      .value("model", "DIR", "a diffusers folder or a checkpoint file"),
      .value("tokenizer", "DIR", "a tokenizer folder, for a checkpoint file"),
      .value("vae", "PATH", "a VAE to use instead of the model's: a folder or a file"),
      .value("lora", "FILE", isRepeatable: true, lora),
      .value(
        "lora-scale", "X", isRepeatable: true,
        "LoRA scale: one for all LoRA files, or one per --lora (1)"),
      .value(
        "negative-lora", "FILE[=W]", isRepeatable: true,
        "a negative LoRA file, which guidance steers away from, and its weight (1)"),
    ]
  }
}

extension Arguments {
  /// Returns an option's model, with the accompanying tokenizer and VAE.
  ///
  /// - Parameter isOfDiffusion: whether anything that is clearly not a diffusion model is rejected
  /// - Throws: ``MissingInput``
  func modelFolder(
    _ option: String = "model", isOfDiffusion: Bool = true
  ) throws -> ModelFolder {
    let folder = ModelFolder(
      path: try required(option), tokenizer: optionalValue("tokenizer"), vae: optionalValue("vae"))
    guard PathKind(of: folder.path) != nil else {
      throw MissingInput(
        option: option, path: folder.path,
        remedy: HubName.remedy(folder.path)
          ?? "give a diffusers folder or a checkpoint file; relative paths start at the current "
          + "folder, and nothing is downloaded (docs/recipes.md lists sources of models)")
    }
    for option in ["tokenizer", "vae"] {
      _ = try optionalValue(option).map { try present($0, option) }
    }
    guard isOfDiffusion else { return folder }
    try requireModel(folder, option)
    if let assumption = folder.assumption { Console.note("note: \(assumption)") }
    return folder
  }
}

extension Arguments {
  /// Rejects anything that is clearly not a model.
  private func requireModel(_ folder: ModelFolder, _ option: String) throws {
    let path = folder.path
    switch PathKind(of: path) {
    case .folder?:
      let parts = [
        "model_index.json", "unet", "vae", "text_encoder", "text_encoder_2", "tokenizer",
        "tokenizer_2", "scheduler",
      ]
      guard !parts.contains(where: { PathKind(of: "\(path)/\($0)") != nil }) else { return }
      // The merged model of a pipeline's workspace, or of the folder that stage export wrote.
      let merged = ["\(path)/merged", "\(path)/export/merged"].first {
        PathKind(of: "\($0)/model_index.json") != nil
      }
      let isWorkspace = Workspace(path: path).isOurs
      throw MistakenModel(
        option: option,
        problem: "\(path): not a diffusers model (no model_index.json, no unet/)"
          + (merged.map { "; use \($0), or --lora with a LoRA file of this folder" }
            ?? (isWorkspace
              ? "; this is a workspace, so give the pipeline's model, and --lora with the LoRA that is in it"
              : ""))
      )
    case .file?:
      guard path.lowercased().hasSuffix(".safetensors"),
        let file = try? SafetensorsFile(path: path), !file.entries.isEmpty,
        file.entries.allSatisfy({ LoRAFile.isKey($0.name) })
      else { return }
      throw MistakenModel(
        option: option,
        problem: "\(path): this is a LoRA; give it as --lora, and its model as --model")
    default: return
    }
  }
}

/// Something other than a model where an option expects one.
struct MistakenModel: ClassifiedError, CustomStringConvertible {
  let option: String
  let problem: String

  var kind: FailureKind { .input }
  var description: String { "--\(option): \(problem)" }
}

extension Console {
  /// Warns of prompts that a text encoder does not read as their author may have meant them.
  ///
  /// - Parameter option: the option that gives them, if it has to be named
  static func warn(
    ofPrompts prompts: [String], _ tokenizer: Tokenizer, option: String = ""
  ) throws {
    for warning in try PromptNotes(prompts, tokenizer: tokenizer).warnings {
      complain("warning: \(option)\(warning.printable)")
    }
  }
}
