import Diffusion
import NN

extension OperationOptions {
  /// The adapters of the LoRA file, if one was given.
  func adapters() throws -> AdapterSet? {
    try loraPath.map { path in
      let set = AdapterSet()
      let file = try LoRAFile(path: path)
      try file.requireUNet()
      try file.addUNetAdapters(to: set)
      return set
    }
  }
}
