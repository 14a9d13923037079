import Checkpoints
import Diffusion
import Foundation

/// Weights and LoRA files.
let checkpointTargets: [FuzzTarget] = [
  FuzzTarget("safetensors") { try readAll(of: SafetensorsFile(path: Scratch.write($0))) },
  FuzzTarget("torch") {
    try readAll(of: TorchCheckpoint(path: Scratch.write(withEntryChecksums([UInt8]($0)))))
  },
  FuzzTarget("pickle") {
    let storage = [UInt8](repeating: 1, count: 256)
    let archive = storedArchive(
      [("a/data.pkl", [UInt8]($0)), ("a/version", Array("3\n".utf8))]
        + ["0", "1", "2"].map { ("a/data/\($0)", storage) })
    try readAll(of: TorchCheckpoint(path: Scratch.write(archive)))
  },
  FuzzTarget(
    "lora",
    preparing: {
      let layers = try ModelFolder(path: "\(Scratch.repository)/data/tiny-sd").unetLayers()
      return { input in
        let file = try LoRAFile(path: Scratch.write(input, to: "input.safetensors"))
        _ = try? file.weights(for: layers)
        try file.add(to: ModelAdapters(), strength: 0.5)
      }
    }),
]

private func readAll(of checkpoint: some CheckpointSource) throws {
  for entry in checkpoint.entries.prefix(64) where entry.byteCount <= 1 << 22 {
    let bytes = try checkpoint.bytes(entry.name)
    require(bytes.count == entry.byteCount, "\(entry.name) has \(bytes.count) bytes")
    _ = try? checkpoint.floats(entry.name)
    _ = try? checkpoint.integers(entry.name)
  }
}
