import Backends
import TensorCore

extension DeviceBackend {
  /// What every product has.
  private struct Factors {
    let left: KernelArgument
    let right: KernelArgument
    var bias: KernelArgument?
    /// `[rows, rank]` and `[rank, columns]`, whose product is added.
    var update: (left: KernelArgument, right: KernelArgument, rank: Int)?
    let rows: Int
    let columns: Int
    let inner: Int
    /// Elements from the first to beyond the last that a tile and its slices read of either factor.
    let reach: Int
  }

  func run(_ product: MatrixProduct) throws(DeviceError) {
    let (left, right) = (product.left, product.right)
    let (rows, columns, inner) = (product.rows, product.columns, product.inner)
    var factors = Factors(
      left: memory(left.values), right: memory(right.values),
      bias: product.bias.map { memory($0) }, rows: rows, columns: columns, inner: inner,
      reach: ProductForm.largestTile * max(left.stride, right.stride))
    // Kept until the product is asked for.
    var leftOfUpdate: DeviceMemory?
    if let update = product.update, update.rank > 0 {
      let sums = try scratch(rows * update.rank)
      try multiply(
        Factors(
          left: factors.left, right: memory(update.left), rows: rows, columns: update.rank,
          inner: inner, reach: ProductForm.largestTile * max(left.stride, inner)),
        ProductForm(
          .matrix, ProductFormats(left.values.storage.format, .single, .single),
          isByElement: (!left.isTransposed, true), rows: rows, columns: update.rank, inner: inner),
        into: .scratch(sums),
        left.strides + [.extent(inner), .extent(1)])
      factors.update = (.memory(sums), memory(update.right), update.rank)
      leftOfUpdate = sums
    }
    try multiply(
      factors,
      ProductForm(
        .matrix, ProductFormats(left.values, right.values, into: product.output),
        isByElement: (!left.isTransposed, right.isTransposed), rows: rows, columns: columns,
        inner: inner,
        suitsHalfProduct: hasHalfProduct(product),
        isSplit: left.isTransposed && factors.update == nil && product.bias == nil),
      into: numbers(product.output), left.strides + right.stridesByColumn)
    withExtendedLifetime(leftOfUpdate) {}
  }

  func run(_ convolution: Convolution) throws(DeviceError) {
    let shape = convolution.shape
    let (rows, inner) = (shape.outputPixels, shape.kernelPositions * shape.inputChannels)
    try multiply(
      Factors(
        left: memory(convolution.input), right: memory(convolution.weights.values),
        bias: convolution.bias.map { memory($0) }, rows: rows, columns: shape.outputChannels,
        inner: inner, reach: shape.reach),
      ProductForm(
        .patches,
        ProductFormats(
          convolution.input, convolution.weights.values, into: convolution.output),
        rows: rows, columns: shape.outputChannels, inner: inner,
        suitsHalfProduct: hasHalfProduct(
          convolution.input, convolution.weights.values, convolution.output, shape)),
      into: numbers(convolution.output),
      shape.arguments(channels: shape.inputChannels, upsamples: convolution.upsamples))
  }

  func run(_ gradient: ConvolutionInputGradient) throws(DeviceError) {
    let shape = gradient.shape
    let rows = shape.batch * shape.height * shape.width
    let inner = shape.kernelPositions * shape.outputChannels
    try multiply(
      Factors(
        left: memory(gradient.outputGradient), right: memory(gradient.weights.values), rows: rows,
        columns: shape.inputChannels, inner: inner, reach: shape.reach),
      ProductForm(
        .gradientPatches,
        ProductFormats(
          gradient.outputGradient, gradient.weights.values, into: gradient.inputGradient),
        rows: rows, columns: shape.inputChannels, inner: inner,
        suitsHalfProduct: hasHalfProduct(
          gradient.outputGradient, gradient.weights.values, gradient.inputGradient, shape)),
      into: numbers(gradient.inputGradient),
      shape.arguments(channels: shape.outputChannels, upsamples: false))
  }

  func run(_ gradient: ConvolutionWeightGradient) throws(DeviceError) {
    let shape = gradient.shape
    let (rows, inner) = (shape.kernelPositions * shape.inputChannels, shape.outputPixels)
    try multiply(
      Factors(
        left: memory(gradient.input), right: memory(gradient.outputGradient), rows: rows,
        columns: shape.outputChannels, inner: inner, reach: shape.reach),
      ProductForm(
        .patchColumns,
        ProductFormats(gradient.input, gradient.outputGradient, into: gradient.weightGradient),
        rows: rows, columns: shape.outputChannels, inner: inner,
        suitsHalfProduct: hasHalfProduct(
          gradient.input, gradient.outputGradient, gradient.weightGradient, shape),
        isSplit: true),
      into: numbers(gradient.weightGradient),
      shape.arguments(channels: shape.inputChannels, upsamples: false))
  }

  /// Whether what lies next to each other of a product comes in eights, as tensor cores copy them.
  private func hasHalfProduct(_ product: MatrixProduct) -> Bool {
    let (left, right) = (product.left, product.right)
    let (leftRow, rightRow) = (
      left.isTransposed ? product.rows : product.inner,
      right.isTransposed ? product.inner : product.columns
    )
    return hasEights([product.columns, left.stride, right.stride, leftRow, rightRow])
      && hasEights([left.values.offset, right.values.offset, product.output.offset])
  }

  private func hasHalfProduct(
    _ left: Operand, _ right: Operand, _ output: Operand, _ shape: ConvolutionShape
  ) -> Bool {
    hasEights([shape.inputChannels, shape.outputChannels])
      && hasEights([left.offset, right.offset, output.offset])
  }

  func hasEights(_ extents: [Int]) -> Bool {
    usesTensorCores && extents.allSatisfy { $0 % KernelSource.chunk == 0 }
  }

  var tensorDefinitions: [String] { Self.tensorDefinitions(usesTensorCores) }

  static func tensorDefinitions(_ usesTensorCores: Bool) -> [String] {
    ["TENSOR=\(usesTensorCores ? 1 : 0)"]
  }

  /// - Parameter place: the parameters of the kernel's form of a left factor
  private func multiply(
    _ factors: Factors, _ form: ProductForm, into output: Numbers, _ place: [KernelArgument]
  ) throws(DeviceError) {
    let (rows, columns) = (factors.rows, factors.columns)
    // Tiles count in 32 bits, from their first row or image on.
    guard factors.reach <= Int(Int32.max) else {
      throw .tooLarge(count: factors.reach, device: name)
    }
    let sums = form.splits > 1 ? try scratch(form.splits * rows * columns) : nil
    let update = factors.update
    // Where there is no bias or update, the kernel reads nothing from the memory named for it.
    try launch(
      form.source.name, of: form.source, form.definitions + tensorDefinitions,
      counting: max(rows, columns, factors.inner),
      groups: form.groups(rows: rows, columns: columns),
      [
        factors.left, factors.right, factors.bias ?? factors.left, update?.left ?? factors.left,
        update?.right ?? factors.left, sums.map { .memory($0) } ?? output.memory, .extent(rows),
        .extent(columns), .extent(factors.inner), .extent(update?.rank ?? 0),
        .flag(factors.bias != nil), .extent(form.splitLength),
      ] + place)
    if let sums {
      try sumRepeats(
        .scratch(sums), into: output,
        Broadcast(outer: 1, repeats: form.splits, inner: rows * columns))
    }
  }
}

extension MatrixOperand {
  /// From one row, and from one element of a row, to the next.
  fileprivate var strides: [KernelArgument] {
    isTransposed ? [.extent(1), .extent(stride)] : [.extent(stride), .extent(1)]
  }

  /// From one column, and from one element of a column, to the next.
  fileprivate var stridesByColumn: [KernelArgument] {
    isTransposed ? [.extent(stride), .extent(1)] : [.extent(1), .extent(stride)]
  }
}

extension ConvolutionShape {
  fileprivate var kernelPositions: Int { kernelHeight * kernelWidth }
  fileprivate var outputPixels: Int { batch * outputHeight * outputWidth }

  /// Elements of the images that the rows of a tile can be in; too many where places do not fit in 16 bits.
  fileprivate var reach: Int {
    let sides = [height, width, outputHeight * stride, outputWidth * stride]
    guard sides.allSatisfy({ $0 + kernelHeight + kernelWidth < Int(Int16.max) }) else {
      return .max
    }
    let pixels = [height * width, outputHeight * outputWidth]
    let images = min(batch, ProductForm.largestTile / (pixels.min() ?? 1) + 2)
    return images * (pixels.max() ?? 1)
      * max(inputChannels, outputChannels, ProductForm.largestTile)
  }

  fileprivate func arguments(channels: Int, upsamples: Bool) -> [KernelArgument] {
    [
      .extent(height), .extent(width), .extent(channels), .extent(outputHeight),
      .extent(outputWidth), .extent(kernelWidth), .extent(stride), .extent(paddingTop),
      .extent(paddingLeft), .flag(upsamples),
    ]
  }
}
