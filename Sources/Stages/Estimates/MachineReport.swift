import Catalog
import Devices
public import Files
import HostResources
import Imaging
import Parquet
import StageSupport

/// What the program stands on here.
public struct MachineReport: Sendable {
  public struct Entry: Sendable {
    public let name: String
    public let value: String
  }

  public let entries: [Entry]
  public let problems: [Problem]

  public init() {
    let built = KernelBuild.instructionSets
    entries =
      [
        Entry(name: "processor", value: Machine.processor),
        Entry(name: "system", value: Machine.system),
        Entry(name: "threads", value: "\(Threads.count)"),
        Entry(
          name: "built for", value: built.isEmpty ? "any processor" : built.joined(separator: " ")),
        Entry(name: "memory", value: Self.memory),
        Entry(
          name: "disk",
          value: (DiskSpace.free(at: ".").map { "\(ByteCount.text($0)) free here" } ?? "unknown")
            + (FileSystemKind(at: ".").isShared ? ", \(FileSystemKind(at: ".").rawValue)" : "")
        ),
        Entry(name: "devices", value: Self.devices),
        Entry(name: "OpenBLAS", value: KernelBuild.openBLAS),
        Entry(name: "SQLite", value: sqliteVersion),
        Entry(name: "libpng", value: libpngVersion),
        Entry(name: "zlib", value: zlibVersionText),
        Entry(
          name: "WebP",
          value: WebPLibrary.found
            ?? "not read: \(WebPLibrary.fileName) is missing (package \(WebPLibrary.packageName))"),
      ] + CompressionLibrary.allCases.map(Self.entry)
    let unused = ["avx2", "fma", "f16c", "avx512f"].filter {
      Machine.instructionSets.contains($0) && !built.contains($0)
    }
    problems =
      unused.isEmpty
      ? []
      : [
        Problem(
          "this build does not use \(unused.joined(separator: ", ")), which this processor supports",
          remedy: "build it here with `make build`", .other)
      ]
  }

  private static var memory: String {
    let limit = MemoryLimit.current
    let machine = ByteCount.text(Machine.memory)
    guard limit.source != .machine else { return machine }
    return "\(machine), of which \(ByteCount.text(limit.byteCount)) is available\(limit.note)"
  }

  /// Which other processors there are, each with what is missing to use it.
  private static var devices: String {
    let found = Devices.all.map { device in
      "\(device.name) \(device.description)"
        + (device.flaw.map { ", not usable: \($0)" } ?? "")
    }
    let broken = Devices.brokenDriver.map { ["cuda: not usable: \($0)"] } ?? []
    return found.isEmpty && broken.isEmpty
      ? "none; \(Devices.installation)" : (found + broken).joined(separator: "; ")
  }

  private static func entry(_ library: CompressionLibrary) -> Entry {
    Entry(
      name: "\(library.codecName) parquet",
      value: library.found
        ?? "not read: \(library.fileName) is missing (package \(library.packageName))")
  }

  public var lines: [String] {
    let width = entries.reduce(0) { max($0, $1.name.count) }
    return entries.map { entry in
      entry.name + String(repeating: " ", count: width + 2 - entry.name.count) + entry.value
    }
  }

  public var json: JSON {
    var object = JSON.Object()
    for entry in entries {
      let key = String(entry.name.lowercased().map { $0 == " " ? "_" : $0 })
      object[key] = .string(entry.value)
    }
    return .object(object)
  }
}
