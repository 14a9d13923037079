import Checkpoints
import Diffusion
import Files
import PipelineCore

/// Inspects folders: models, workspaces, data.
enum FolderInspector {
  static func inspect(path: String) throws -> InspectionReport {
    if let report = try model(path) { return report }
    if let report = try adapter(path) { return report }
    if Workspace(path: path).isOurs { return try workspace(path) }
    if let report = try ResultInspector.shards(path) { return report }
    if let workspace = enclosingWorkspace(of: path) {
      return try ResultInspector.folder(
        path, of: "a folder in the workspace \(workspace.printable)")
    }
    do {
      return try TextInspector.records([path])
    } catch let error as any ClassifiedError where error.kind == .input {
      guard try !Folders.names(in: path).isEmpty else {
        throw PipelineError.unusableInput(path: path, reason: "an empty folder")
      }
      return try ResultInspector.folder(
        path, of: "a folder", notes: ["", "not a source for ingest: \(error)"])
    }
  }

  /// Returns the workspace that a folder belongs to; nil if none.
  private static func enclosingWorkspace(of path: String) -> String? {
    var folder = Folders.canonical(path)
    while let slash = folder.lastIndex(of: "/"), slash != folder.startIndex {
      folder = String(folder[..<slash])
      if Workspace(path: folder).isOurs { return folder }
    }
    return nil
  }

  /// Nil if the folder has no part of a model.
  private static func model(_ path: String) throws -> InspectionReport? {
    let folder = ModelFolder(path: path)
    let parts = [
      "unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler",
    ].filter(folder.hasPart)
    guard parts.contains("unet") else { return try clip(path) }
    var lines = [
      "\(path.printable): a model in diffusers' layout",
      "  parts: \(parts.joined(separator: ", "))",
    ]
    var json: JSON.Object = .init()
    json["kind"] = "model"
    json["parts"] = .array(parts.map { .string($0) })
    // A latent preference model has a U-Net and no autoencoder. An unreadable configuration is
    // reported as a problem.
    if parts.contains("vae"), let configuration = try? ModelConfiguration(folder),
      let prediction = try? configuration.scheduler.predictionType().rawValue
    {
      lines += [
        "  images of \(configuration.imageSide) x \(configuration.imageSide) pixels",
        "  U-Net: channels \(configuration.unet.channels), text width \(configuration.prompts.width)",
        "  predicts \(prediction)",
      ]
      json["image_size"] = .integer(configuration.imageSide)
      json["prediction_type"] = .string(prediction)
    }
    return InspectionReport(
      json: .object(json), text: lines.joined(separator: "\n"), problems: folder.problems())
  }

  /// Inspects a CLIP model or a pixel preference model; nil for other folders.
  private static func clip(_ path: String) throws -> InspectionReport? {
    let file = "\(path)/config.json"
    guard PathKind(of: file) == .file else { return nil }
    let configuration = try JSONReader(contentsOf: file)
    // One part of a model in diffusers' layout.
    if let name = try configuration.optional("_class_name")?.string() {
      return InspectionReport(
        json: ["kind": "model", "model_type": .string(name)],
        text: "\(path.printable): \(name.printable) in diffusers' layout",
        problems: problems {
          try ModelFolder(path: path).checkpoint("", stem: "diffusion_pytorch_model")
        })
    }
    guard let type = try configuration.optional("model_type")?.string() else { return nil }
    let hasWeights = try Folders.names(in: path).contains {
      $0.hasSuffix(".safetensors") || $0.hasSuffix(".bin") || $0.hasSuffix(".index.json")
    }
    var problems = problems { try ModelFolder(path: path).checkpoint("", stem: "model") }
    // A preference model may start as a configuration alone; weights under another name are
    // OpenCLIP's.
    if type == "clip" {
      problems.removeAll { if case ModelFolderError.noWeights = $0 { true } else { false } }
    }
    return InspectionReport(
      json: ["kind": "model", "model_type": .string(type), "has_weights": .bool(hasWeights)],
      text:
        "\(path.printable): a \((type == "clip" ? "CLIP" : type).printable) model in transformers' layout"
        + (hasWeights ? "" : ", the configuration without weights"),
      problems: problems)
  }

  /// Returns the problems of a folder's weights.
  private static func problems(_ open: () throws -> any CheckpointSource) -> [any Error] {
    do { return try open().nonFinite() } catch { return [error] }
  }

  /// Inspects a folder as saved by peft; nil for other folders.
  private static func adapter(_ path: String) throws -> InspectionReport? {
    let file = "\(path)/adapter_config.json"
    guard PathKind(of: file) == .file else { return nil }
    let configuration = try JSONReader(contentsOf: file)
    let type = try configuration.optional("peft_type")?.string() ?? "of unknown type"
    let base = try configuration.optional("base_model_name_or_path")
    let model = base?.value.string.map { ", for \($0)" } ?? ""
    var lines = ["\(path.printable): a PEFT adapter, \(type.printable)\(model.printable)"]
    let names = ["adapter_model.safetensors", "adapter_model.bin"]
    guard let name = names.first(where: { PathKind(of: "\(path)/\($0)") == .file }) else {
      return InspectionReport(
        json: ["kind": "adapter", "peft_type": .string(type)], text: lines[0],
        problems: [ModelFolderError.noWeights(folder: path, tried: names)])
    }
    let weights = "\(path)/\(name)"
    var contents = CheckpointInspector.Contents()
    do {
      contents = CheckpointInspector.Contents(try openCheckpoint(weights))
    } catch { contents.problems.append(error) }
    lines += contents.lines.map { "  \($0.printable)" }
    if contents.isLoRA { lines.append("  its file, for --lora: \(weights.printable)") }
    return InspectionReport(
      json: [
        "kind": "adapter", "peft_type": .string(type), "weights": .string(weights),
        "contents": .array(contents.lines.map { .string($0) }),
      ], text: lines.joined(separator: "\n"), problems: contents.problems)
  }

  private static func workspace(_ path: String) throws -> InspectionReport {
    let names = try Folders.names(in: "\(path)/state").filter { $0.hasSuffix(".json") }
    let stages = names.map { String($0.dropLast(".json".count)) }.filter {
      !["digests", "images"].contains($0)
    }
    .sorted()
    guard !stages.isEmpty else {
      let isEvaluation = Folders.exists("\(path)/scores")
      return try ResultInspector.folder(
        path, of: "the output of spo \(isEvaluation ? "evaluate" : "sample")")
    }
    return InspectionReport(
      json: ["kind": "workspace", "stages": .array(stages.map { .string($0) })],
      text: [
        "\(path.printable): a workspace",
        "  stages started: \(stages.joined(separator: ", "))",
        "  `spo status PIPELINE --workspace \(path.printable)` shows their state",
      ].joined(separator: "\n"))
  }
}
