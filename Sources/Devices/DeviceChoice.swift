/// What the setting `device` says.
public enum DeviceChoice: Equatable, Sendable, CustomStringConvertible {
  /// A GPU if there is one, else the host; never a processor through OpenCL.
  case automatic
  case host
  case device(Device)

  /// One by its number.
  public struct Device: Equatable, Sendable, CustomStringConvertible {
    public let interface: Interface
    public let index: Int

    public var description: String { "\(interface.rawValue):\(index)" }
  }

  /// What it is driven through.
  public enum Interface: String, CaseIterable, Sendable {
    case cuda
    case openCL = "opencl"
  }

  public static let expectation = #""auto", "cpu", "cuda", "opencl", or one of several as "cuda:1""#

  /// Nil if the text is none of these.
  public init?(_ text: String) {
    switch text {
    case "auto": self = .automatic
    case "cpu": self = .host
    default:
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard let interface = Interface(rawValue: String(parts[0])) else { return nil }
      guard parts.count == 2 else {
        self = .device(Device(interface: interface, index: 0))
        return
      }
      // Digits alone: no sign, as Int would take one.
      guard parts[1].allSatisfy(\.isWholeNumber), parts[1].allSatisfy(\.isASCII),
        let index = Int(parts[1])
      else { return nil }
      self = .device(Device(interface: interface, index: index))
    }
  }

  public var description: String {
    switch self {
    case .automatic: "auto"
    case .host: "cpu"
    case .device(let device): device.description
    }
  }
}
