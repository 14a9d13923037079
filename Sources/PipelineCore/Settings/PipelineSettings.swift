import Files

/// The pipeline file's settings other than those of its stages.
public struct PipelineSettings: StageSettings {
  @Setting("Folder for everything that the pipeline writes.", .notEmpty)
  public var workspace = ""
  @Setting("Threads to compute with; null: one per processor.", in: 1...1_024)
  public var threads: Int? = nil
  @Setting(
    "Device to compute on: auto uses a GPU if available; opencl:1 is the second OpenCL device.")
  public var device = DeviceChoice.automatic
  @Setting(
    "Precision on a GPU: f32; tf32, factors of products with 10 bits of fraction for tensor cores; f16, activations of models in half precision as well, in half the memory; auto: tf32 if it has such cores."
  )
  public var devicePrecision = DevicePrecision.automatic
  @Setting(
    "Whether a stage started on another device may continue here; its result then mixes both."
  )
  public var mayChangeDevice = false

  public init() {}

  /// The keys of a pipeline file that no stage shares.
  static let keys = [
    "workspace", "threads", "device", "device_precision", "may_change_device", "stages",
  ]

  init(from root: JSON.Object, path: String) throws {
    guard root["workspace"] != nil else {
      throw PipelineError.badSetting(
        path: "\(path): workspace",
        reason: "is missing: the folder for everything that the pipeline writes")
    }
    var object = try SettingsEncoder.json(Self()).object ?? JSON.Object()
    for key in object.keys { object[key] = root[key] ?? object[key] }
    let paths = Dictionary(uniqueKeysWithValues: object.keys.map { ($0, "\(path): \($0)") })
    self = try SettingsDecoder.settings(
      Self.self, from: .object(object), path: path, paths: paths)
  }
}
