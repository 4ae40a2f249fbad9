/*
 * A guest in one boot sector, for tests that have no guest image. It prints a
 * line "bBBBB nNNNNNNNN" on the first serial port eighteen times a second: B is
 * how often this disk has been booted, kept in its second sector; N counts up
 * in memory. It heeds the ACPI power button.
 *
 * Make boot.bin of it with:
 *   as --32 -o boot.o bootsector.S
 *   ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o boot.bin boot.o
 */
	.code16
	.globl _start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
	sti

	/* Read sector 2 to 0x8000, count the boot, write it back (int 13h). */
	movw	$0x0201, %ax
	call	disk
	incw	0x8000
	movw	$0x0301, %ax
	call	disk

	/* PM1a enable at 0x602, bit 8: QEMU tells of the button only if asked to. */
	movw	$0x602, %dx
	movw	$0x100, %ax
	outw	%ax, %dx

next:
	movb	$'b', %al
	call	putc
	movzwl	0x8000, %ebx
	shll	$16, %ebx
	movw	$4, %cx
	call	hex
	movb	$' ', %al
	call	putc
	movb	$'n', %al
	call	putc
	movl	count, %ebx
	movw	$8, %cx
	call	hex
	movb	$'\n', %al
	call	putc
	incl	count

	/* PM1a status at 0x600, bit 8: the power button. PM1a control at 0x604:
	   SLP_EN with QEMU's sleep type of S5. */
	movw	$0x600, %dx
	inw	%dx, %ax
	testw	$0x100, %ax
	jz	1f
	movw	$0x604, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
1:	hlt
	jmp	next

disk:
	movw	$0x0002, %cx
	movb	$0, %dh
	movb	drive, %dl
	movw	$0x8000, %bx
	int	$0x13
	ret

/* Print the upper cx digits of ebx. */
hex:
	roll	$4, %ebx
	movb	%bl, %al
	andb	$15, %al
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	1f
	addb	$39, %al
1:	call	putc
	decw	%cx
	jnz	hex
	ret

putc:
	movw	$0x3f8, %dx
	outb	%al, %dx
	ret

drive:	.byte	0
	.align	4
count:	.long	0

	.org	510
	.word	0xaa55
