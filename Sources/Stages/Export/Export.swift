public import Diffusion
public import PipelineCore

/// Writes the trained LoRA in the forms that other programs load, and the model with it merged in.
///
/// - Reads:  `lora`, the file `spo/pytorch_lora_weights.safetensors`
/// - Writes: in the folder `export` `pytorch_lora_weights.safetensors` (diffusers),
///   `webui/NAME.safetensors` (webui, ComfyUI) and `merged` (a model folder)
public final class Export: Stage {
  public struct Settings: StageSettings {
    @Setting(
      "The diffusion model that the LoRA was trained on: a diffusers folder or a checkpoint file.")
    public var model = ""
    @Setting(
      "Folder with the tokenizer, for a checkpoint file that is merged; null: the model's own.")
    public var tokenizer: String? = nil
    @Setting("Name of the LoRA in the webui: <lora:NAME:1>.", .fileName)
    public var name = "spo"
    @Setting("Precision of the exported weights.")
    public var dtype = WeightPrecision.f32
    @Setting("What to write.")
    public var forms = Form.allCases

    public init() {}

    public func check() throws(SettingConflict) {
      try requireModel(model)
      guard !forms.isEmpty, Set(forms).count == forms.count else {
        throw SettingConflict("forms", "must name one or more of lora, webui and merged, each once")
      }
    }
  }

  public enum Form: String, CaseIterable, Codable, Sendable {
    case lora
    case webui
    case merged
  }

  public static let name = "export"
  public static let version = 1
  public static let unit = "files"
  public let reads: Set<Artifact> = ["lora"]
  public static let settingsWithoutEffect: Set<String> = ["model", "tokenizer"]
  public let writes: [Artifact: [String]] = ["exports": [name]]

  let settings: Settings
  private let context: StageContext
  private var lora: LoRAWeights?

  public init(settings: Settings, context: StageContext) throws {
    self.settings = settings
    self.context = context
  }

  private var model: ModelFolder {
    ModelFolder(path: settings.model, tokenizer: settings.tokenizer)
  }
  private var folder: String { context.output(Self.name) }

  private func path(_ form: Form) -> String {
    switch form {
    case .lora: "\(folder)/pytorch_lora_weights.safetensors"
    case .webui: "\(folder)/webui/\(settings.name).safetensors"
    case .merged: "\(folder)/merged"
    }
  }

  public func inputs() throws -> [StageInput] {
    let model = model
    guard model.isFile else {
      return try context.digests.inputs(folder: settings.model, as: "model")
    }
    let isMerged = settings.forms.contains(.merged)
    return try model.inputs(isMerged ? model.textParts : [], context.digests)
  }

  /// A form whose path exists is complete: it got its name when it was.
  public func pendingItems() throws -> [Form] {
    settings.forms.filter { !Folders.exists(path($0)) }
  }

  public func finishedUnitCount() throws -> Int {
    settings.forms.count - (try pendingItems().count)
  }

  public func prepare() throws {
    try Folders.make("\(folder)/webui")
    if try pendingItems().contains(.merged) {
      try DiskSpace.require(
        try diskByteCount(PipelineScale()), at: folder, for: "merged model")
    }
    let file = context.workspace.path("spo/pytorch_lora_weights.safetensors")
    lora = try LoRAFile(path: file).weights(for: try model.unetLayers())
  }

  public func process(_ form: Form) throws {}

  public func commit(_ output: Void, of form: Form) throws {
    guard let lora else { return }
    switch form {
    case .lora: try lora.write(to: path(form), as: .diffusers, precision: settings.dtype)
    case .webui:
      try lora.write(
        to: path(form), as: .webUI(try model.webUIHeader(name: settings.name)),
        precision: settings.dtype)
    case .merged: try model.writeMerged(lora, precision: settings.dtype, to: path(form))
    }
  }

  public func finish() throws { try Folders.sync(folder) }

  public func results() -> [String] {
    settings.forms.map { form in
      switch form {
      case .lora: "the LoRA for diffusers is \(path(form))"
      case .webui: "the LoRA for the webui and ComfyUI is \(path(form))"
      case .merged: "the merged model is in \(path(form))"
      }
    }
  }
}
