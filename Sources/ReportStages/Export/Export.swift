public import Diffusion
import Files
public import PipelineCore
public import StageSupport
import TrainingStages

/// Writes the trained LoRA in the formats that other programs load, and the model with it merged
/// in.
///
/// - Reads: the LoRA files of stages `spo` and `dpo`, or of whichever the pipeline has
/// - Writes: in the folder `export` `pytorch_lora_weights.safetensors` (diffusers),
///   `webui/NAME.safetensors` (webui, ComfyUI) and `merged` (a model folder); for a second LoRA the
///   same in a subfolder, `export/dpo`, with `webui/NAME-dpo.safetensors`
public struct Export: Stage {
  public struct Settings: ModelSettings {
    @Setting(
      "The diffusion model that the LoRA was trained on: a diffusers folder or a checkpoint file.")
    public var model = ""
    @Setting(
      "Tokenizer folder, for merging a checkpoint file; null: the model's own.")
    public var tokenizer: String? = nil
    @Setting("A VAE to use instead of the model's: a folder or a file; null: the model's own.")
    public var vae: String? = nil
    @Setting("Name of the LoRA in the webui: <lora:NAME:1>.", .fileName)
    public var name = "spo"
    @Setting("Precision of the exported weights.")
    public var dtype = WeightPrecision.f32
    @Setting("What to write.")
    public var forms = Form.allCases

    public init() {}

    package static let modelUse = ModelUse.takesLoRA

    public func check() throws(SettingConflict) {
      try requireModel()
      guard !forms.isEmpty, Set(forms).count == forms.count else {
        throw SettingConflict("forms", "must list one or more of lora, webui and merged, each once")
      }
    }
  }

  public enum Form: String, CaseIterable, Codable, Sendable {
    case lora
    case webui
    case merged
  }

  /// One format of one LoRA.
  public struct Item {
    let stage: TuningStage
    let form: Form
  }

  public static let name = "export"
  public static let version = 2
  public static let unit = "files"
  public let reads: Set<Artifact>
  public static let settingsWithoutEffect: Set<String> = ["model", "tokenizer", "vae"]
  public let writes: [Artifact: [String]] = ["exports": [name]]
  public static let fileNames =
    ([name] + TuningStage.allCases.map { "\(name)/\($0.rawValue)" }).flatMap { folder in
      ["pytorch_lora_weights.safetensors", "webui/*.safetensors", "merged/"].map {
        "\(folder)/\($0)"
      }
    }

  package let settings: Settings
  fileprivate let context: StageContext
  private let stages: [TuningStage]

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    stages = TuningStage.planned(in: context)
    reads = Set(stages.map(\.lora))
  }

  fileprivate var model: ModelFolder { settings.base }
  fileprivate var folder: String { context.output(Self.name) }

  private func folder(of stage: TuningStage, in folder: String) -> String {
    stage == stages[0] ? folder : "\(folder)/\(stage.rawValue)"
  }

  /// Returns the name of a LoRA in the webui.
  fileprivate func name(of stage: TuningStage) -> String {
    stage == stages[0] ? settings.name : "\(settings.name)-\(stage.rawValue)"
  }

  fileprivate func path(_ item: Item) -> String { path(item, in: folder) }

  /// - Parameter folder: the stage's folder, under construction or final
  fileprivate func path(_ item: Item, in folder: String) -> String {
    let folder = self.folder(of: item.stage, in: folder)
    return switch item.form {
    case .lora: "\(folder)/pytorch_lora_weights.safetensors"
    case .webui: "\(folder)/webui/\(name(of: item.stage)).safetensors"
    case .merged: "\(folder)/merged"
    }
  }

  private var items: [Item] {
    stages.flatMap { stage in settings.forms.map { Item(stage: stage, form: $0) } }
  }

  public func inputs() throws -> [StageInput] {
    try modelInputs() + stages.compactMap { try provenance(of: $0)?.input(of: $0) }
  }

  private func modelInputs() throws -> [StageInput] {
    let model = model
    let isMerged = settings.forms.contains(.merged)
    let vae = isMerged ? try model.autoencoderInputs(context.digests) : []
    guard model.isFile else {
      return try context.digests.inputs(folder: settings.model, as: "model") + vae
    }
    return try model.inputs(isMerged ? model.textParts : [], context.digests) + vae
  }

  /// Returns the origin of a stage's LoRA; nil before the stage has run.
  fileprivate func provenance(of stage: TuningStage) throws -> Provenance? {
    try context.origin(of: stage.rawValue).map { Provenance(of: stage, $0) }
  }

  /// An existing path is a complete export: it is renamed only then.
  public func workPlan() throws -> WorkPlan<ExportWork> {
    let pending = items.filter { !Folders.exists(path($0)) }
    return WorkPlan(pending, finishedUnitCount: items.count - pending.count) {
      var loras: [TuningStage: LoRAWeights] = [:]
      for stage in stages {
        try Folders.make("\(folder(of: stage, in: folder))/webui")
        let file = context.workspace.path(stage.loraFile)
        loras[stage] = try LoRAFile(path: file).effectiveWeights(for: try model.unetLayers())
      }
      let merged = pending.count { $0.form == .merged }
      if merged > 0 {
        try DiskSpace.require(
          merged * mergedByteCount(), at: folder,
          for: merged == 1 ? "merged model" : "merged models")
      }
      return ExportWork(self, loras)
    }
  }

  public func results() -> [String] {
    items.map { item in
      let tuning = stages.count > 1 ? " of stage \(item.stage.rawValue)" : ""
      return switch item.form {
      case .lora: "the LoRA\(tuning) for diffusers is in \(path(item))"
      case .webui: "the LoRA\(tuning) for the webui and ComfyUI is in \(path(item))"
      case .merged: "the merged model\(tuning) is in \(path(item))"
      }
    }
  }
}

/// Writes each LoRA in each format.
public final class ExportWork: StageWork {
  private let export: Export
  private let loras: [TuningStage: LoRAWeights]

  fileprivate init(_ export: Export, _ loras: [TuningStage: LoRAWeights]) {
    (self.export, self.loras) = (export, loras)
  }

  public func process(_ item: Export.Item) throws {}

  public func commit(_ output: Void, of item: Export.Item) throws {
    do {
      try write(item)
    } catch {
      // Nothing remains in the temporary location.
      let (made, final) = (
        export.path(item), export.path(item, in: export.context.workspace.path(Export.name))
      )
      guard made != final, "\(error)".contains(made) else { throw error }
      throw Failure(
        kind: FailureKind(error), description: "\(error)".replacing(made, with: final))
    }
  }

  /// The error that prevented an export, with its final path.
  private struct Failure: ClassifiedError, CustomStringConvertible {
    let kind: FailureKind
    let description: String
  }

  private func write(_ item: Export.Item) throws {
    guard let lora = loras[item.stage], let provenance = try export.provenance(of: item.stage)
    else {
      return
    }
    let precision = export.settings.dtype
    switch item.form {
    case .lora:
      try lora.write(
        to: export.path(item), as: .diffusers, precision: precision, provenance: provenance)
    case .webui:
      try lora.write(
        to: export.path(item),
        as: .webUI(try export.model.webUIHeader(name: export.name(of: item.stage))),
        precision: precision, provenance: provenance)
    case .merged:
      try export.model.writeMerged(
        lora, precision: precision, provenance: provenance, to: export.path(item))
    }
  }

  public func finish() throws -> WorkSummary {
    try Folders.sync(export.folder)
    return WorkSummary()
  }
}
