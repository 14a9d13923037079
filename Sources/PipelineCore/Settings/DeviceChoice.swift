import Files

/// The device that computes, as the setting `device` selects it.
public enum DeviceChoice: Equatable, Sendable {
  /// A GPU if there is one, else the host; never a CPU through OpenCL.
  case automatic
  case host
  /// A driver, `cuda`, whose devices are divided among cooperating processes; or one device by
  /// number: `cuda:0`.
  case device(name: String)

  public static let expectation =
    #""auto", "cpu", "cuda" or "opencl", or a specific device, such as "cuda:1""#

  /// Nil if the text is none of these.
  public init?(_ text: String) {
    switch text {
    case "auto": self = .automatic
    case "cpu": self = .host
    case "cuda", "opencl": self = .device(name: text)
    default:
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      // Digits alone: no sign, which Int would accept.
      guard parts.count == 2, ["cuda", "opencl"].contains(parts[0]),
        parts[1].utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
        let number = Int(parts[1])
      else { return nil }
      self = .device(name: "\(parts[0]):\(number)")
    }
  }

  /// What a text that is no choice most likely stands for.
  package static func meant(by text: String) -> String? {
    let plain = text.lowercased()
    if let choice = DeviceChoice(plain) { return choice.description }
    return ["gpu": "cuda", "nvidia": "cuda", "host": "cpu", "processor": "cpu"][plain]
  }
}

/// The precision of a device's products and activations, as the setting `device_precision` selects
/// it.
public enum DevicePrecision: String, CaseIterable, Codable, Sendable {
  /// TF32 on tensor cores that support it.
  case automatic = "auto"
  case single = "f32"
  case tf32
  case half = "f16"
}

extension DeviceChoice: CustomStringConvertible {
  public var description: String {
    switch self {
    case .automatic: "auto"
    case .host: "cpu"
    case .device(let name): name
    }
  }
}

extension DeviceChoice: SettingPrimitive {
  static var settingKind: String { expectation }

  init?(setting: JSON) {
    guard let text = setting.string else { return nil }
    self.init(text)
  }

  var setting: JSON { .string(description) }
}

// Settings are encoded as above.
extension DeviceChoice: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let choice = DeviceChoice(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "must be \(Self.expectation)")
    }
    self = choice
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
